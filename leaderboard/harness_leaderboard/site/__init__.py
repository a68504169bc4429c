"""The board as a static site: pages that need no server and make no request to anywhere."""
