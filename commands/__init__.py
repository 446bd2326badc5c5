"""What people type and press: grammar, permissions, verbs, modals."""
