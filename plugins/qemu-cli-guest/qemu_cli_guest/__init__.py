"""What is inside the guest: agent, ssh, forwards, cloud-init, shares."""
