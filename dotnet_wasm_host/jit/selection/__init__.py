"""Instruction selection: what each instruction of the interpreter becomes."""
