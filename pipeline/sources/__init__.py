"""Where frames come from: video files, image folders, stored detections. One contract, one reader thread each."""
