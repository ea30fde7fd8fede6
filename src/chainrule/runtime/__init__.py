"""What compiled code needs while it runs: memory, threads, and the call itself."""
