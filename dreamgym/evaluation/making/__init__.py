"""From a trained run to a checkpoint that ships: measures, fidelity, rollouts of scripted operators, card, finish."""
