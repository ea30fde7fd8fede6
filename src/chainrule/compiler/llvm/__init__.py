"""From loop programs to machine code: the only folder that knows LLVM."""
