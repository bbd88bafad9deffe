"""Changed copies of texts for a teacher to label.

After Tang et al. 2019, Distilling Task-Specific Knowledge from BERT into Simple Neural Networks
(arXiv:1903.12136), section 3.3.
"""
