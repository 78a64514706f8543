"""What runs where `inv` was typed: the checkout that is sent, and what comes of it there."""
