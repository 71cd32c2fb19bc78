"""How results look: text for people, JSON, JUnit and SARIF for machines."""
