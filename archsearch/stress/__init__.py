"""What a model makes of images that are not as they should be, and of what is no image of its classes at all."""
