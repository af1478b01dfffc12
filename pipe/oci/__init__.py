"""What images are made of, as the field's specifications have it; pure, without any input or output."""
