"""Files and block nodes: images, chains, who depends on what."""
