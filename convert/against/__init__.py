"""What DeepStream will show beside what Edge Impulse shows for the same pictures, and why they differ."""
