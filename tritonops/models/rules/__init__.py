"""What `inv models.check` knows, one file a subject."""
