"""World-model families, a room each: config, model, loss, recipe. They never import each other."""
