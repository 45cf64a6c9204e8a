"""What goes through the guest agent."""
