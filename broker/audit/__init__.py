"""The auditor's questions: who received data about whom, when and why, and how it is proved."""
