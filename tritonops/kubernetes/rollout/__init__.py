"""From one release of a target to another: wait, prove, roll back."""
