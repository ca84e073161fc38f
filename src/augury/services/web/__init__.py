"""What all HTTP services share: settings from a file, and bodies that end where a limit says."""
