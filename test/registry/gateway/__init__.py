"""What Bitbucket adds to a registry, in front of CNCF Distribution."""
