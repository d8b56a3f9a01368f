"""The frame of all pages with addresses: navigation, visitor, health, status region, liveness, assets."""
