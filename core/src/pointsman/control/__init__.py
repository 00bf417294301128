"""What operators say to a running router, and how it gets there."""
