"""What is kept on this machine: models, their export and import, answers, and small texts."""
