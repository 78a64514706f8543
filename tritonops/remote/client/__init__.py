"""What runs where `inv` was typed."""
