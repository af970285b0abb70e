"""Methods that train the source's weights, or a part of them, without a pull: and what they are measured against."""
