"""Where an image comes from: its config, its manifests, and its layers, each of which can be opened."""
