"""Video files as clips: windows and frames, two frame readers behind one small interface, subtitles."""
