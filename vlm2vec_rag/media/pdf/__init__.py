"""PDF files as pages: two engines behind one small interface."""
