"""What is built in, offered through the same hooks as anyone's."""
