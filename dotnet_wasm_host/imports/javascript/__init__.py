"""What managed code calls as JavaScript: interop and HTTP."""
