Feature: C01 to C05, how much and at what price
  The mark is 60000, and a lot is worth 6 dollars there.

  @C01
  Scenario: the largest order Ann may send
    Given Ann may order at most 10 lots of PERPETUAL
    When Ann buys 10 PERPETUAL at 60000
    Then it is taken
    When Ann buys 11 PERPETUAL at 60000
    Then it is refused: QUANTITY 11 10
    When Bea buys 11 PERPETUAL at 60000
    Then it is taken

  @C02
  Scenario: the largest order Ann may send, in money
    Given Ann may order at most 60 dollars at once
    When Ann buys 10 ETHER at 60000
    Then it is taken
    When Ann buys 11 ETHER at 60000
    Then it is refused: ORDER_NOTIONAL 66000000 60000000

  @C03
  Scenario: no price further than one hundredth from the mark
    Given prices of PERPETUAL keep within 10000 millionths of the mark, at least 1 tick
    When Ann buys 1 PERPETUAL at 60600
    Then it is taken
    When Ann buys 1 PERPETUAL at 60601
    Then it is refused: COLLAR 60601 60600
    When Bea sells 1 PERPETUAL at 59399
    Then it is refused: COLLAR 59399 59400
    When the mark of PERPETUAL becomes 59000
    And Ann buys 1 PERPETUAL at 59591
    Then it is refused: COLLAR 59591 59590

  @C04
  Scenario: Ann does not walk the price up in steps
    Given nobody moves PERPETUAL more than 10000 millionths in 1000 ns
    And Dealer sells 1 PERPETUAL at 60500
    And Ann buys 1 PERPETUAL at 60500
    When Ann buys 1 PERPETUAL at 60601
    Then it is refused: WINDOW_COLLAR 60601 60600
    When Bea buys 1 PERPETUAL at 60601, immediate or cancel
    Then it is taken
    When 1001 ns pass
    And Ann buys 1 PERPETUAL at 60601
    Then it is taken

  @C05
  Scenario: an order at market goes no further than the collar
    Given Dealer sells 1 PERPETUAL at 60600
    And Dealer sells 1 PERPETUAL at 60601
    And prices of PERPETUAL keep within 10000 millionths of the mark, at least 1 tick
    When Ann buys 2 PERPETUAL at market as "market"
    Then Ann holds 1 PERPETUAL
    And "market" ended: IMMEDIATE_OR_CANCEL 0 0
