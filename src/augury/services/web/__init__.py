"""What all HTTP services share: a server, settings from a file, and bodies that end where a limit says."""
