"""Images on their way to rows of a text model. Imported for models that see."""
