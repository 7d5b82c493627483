"""The batched simulation core: everything that a dream is, without any library's calling convention."""
