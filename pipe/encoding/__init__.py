"""The bytes of a blob as a registry stores them: compressed in parallel, hashed, in chunks."""
