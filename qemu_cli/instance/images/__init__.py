"""Images that the user names, whoever uses them."""
