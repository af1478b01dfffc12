"""Sources of images: an Engine's export, archives and layouts."""
