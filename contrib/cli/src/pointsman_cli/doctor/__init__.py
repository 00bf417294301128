"""What `pointsman doctor` looks at, a module for each subject. Nothing is started, and nothing written."""
