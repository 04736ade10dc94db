"""MambaVision, put together from mvnp/layers."""
