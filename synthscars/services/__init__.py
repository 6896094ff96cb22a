"""What services have in common: requests read in bounded memory, logs without secrets, sockets."""
