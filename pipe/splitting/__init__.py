"""Splitting of a layer's tar into several tars that give the same files."""
