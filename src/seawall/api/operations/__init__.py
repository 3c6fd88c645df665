"""The operations door: what people do to a venue, through a port and roles of their own."""
