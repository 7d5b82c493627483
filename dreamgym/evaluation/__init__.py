"""Evaluation: how true a dream is, and what ships with it.

The room, in the order in which a checkpoint is made and shown::

    measures.py    PSNR, metres, AUROC; `Curve`, `StateReader`
    fidelity.py    open-loop drift on held-out play against two baselines: `measure_fidelity`
    rollouts.py    fresh episodes of scripted experts in the simulator, judged in dream and twin
    finish.py      from a trained run to a complete checkpoint: `finish_checkpoint`
    card.py        the model card
    comparison.py  the same actions in dream and twin: `compare`
    demo.py        `run_demo`, what `make demo` shows; pictures.py and page.py draw it

Nothing is imported here: each part needs extras of its own.
"""
