"""Where records are sent while running: one adapter per broker, one spool and one delivery thread for each."""
