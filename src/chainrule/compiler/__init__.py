"""From a recorded graph to native code, as one list of named steps."""
