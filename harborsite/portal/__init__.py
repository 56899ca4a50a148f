"""The portal: Django's admin site at `/`, made into a product."""
