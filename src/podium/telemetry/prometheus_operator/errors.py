"""What is wrong with one of the operator's resources."""


class ResourceRefused(Exception):
    """This object cannot be acted on as it is: its author changes it, others are unharmed. The text says which field."""


class SecretMissing(ResourceRefused):
    """It refers to a Secret or ConfigMap (or a key) that is not there: it may be there later."""
